"""The pages for staff: one package for each page, with its views and the modules that gather what it shows."""

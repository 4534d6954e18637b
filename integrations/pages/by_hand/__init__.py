"""What a person does to operations by hand: retry, skip; and the forms for pausing and testing a system."""

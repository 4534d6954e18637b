"""The page with what a partner's administrator must enter on their side to exchange with this desk."""

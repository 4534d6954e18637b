"""What a competent user would write instead, in an hour: the baselines of the ratios."""

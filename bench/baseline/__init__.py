"""The baselines: what a competent developer would write in an hour instead of casexchange."""

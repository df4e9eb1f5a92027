"""What reads the arguments of the user: estimators, Pipelines, frames."""

"""Machine unlearning for image classifiers: the method, its audit and the files they live in.

This package is the library layer. It never imports Prefect, MLflow, DVC or boto3.
"""

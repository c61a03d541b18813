"""The names of the files that runs on molecules leave."""

METRICS, FIGURE, RECORD = "metrics.json", "figure.png", "run.json"
MODEL, PREDICTIONS = "model.h5", "predictions.h5"

"""What synthetic records are worth: train on them, test on people whom neither model nor generator saw."""

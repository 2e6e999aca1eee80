"""What is right and wrong with a host, whether the cloud runs on it or not. Nothing here changes anything,
unless it is asked to put right what it can."""

"""What a finished run has to show: judgement, comparison, a look inside; as pictures and as one page."""

"""Attacks, one a file, written from the papers and batched; none decides on one lucky draw of a random defence."""

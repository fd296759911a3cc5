"""What each run did to the target: `runs/ID/` in the output folder, on the disk before its transactions commit."""

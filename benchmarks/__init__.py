"""What relman costs, as ratios to a hand-written DAG of the same shape; ``make bench`` prints the table."""

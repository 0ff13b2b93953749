"""Room 0: the frozen vocabulary every other room speaks. Standard library and pydantic only."""

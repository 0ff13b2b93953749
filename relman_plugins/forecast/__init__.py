"""When a release will have done its work: from its pipeline's own history, the plan, and calendars. Pure."""

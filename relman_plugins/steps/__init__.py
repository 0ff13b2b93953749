"""Room 5½: the frame that operators and sensors share: find the release, check, act, record, ask people."""

"""``potoo doctor``: checks a server as its operator should; each finding says how to mend it."""

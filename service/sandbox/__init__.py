"""Emulations of the systems and channels that Taskbell uses, over real sockets.

For the demo, for `taskbell sandbox`, and for tests. Nothing else imports it.
"""

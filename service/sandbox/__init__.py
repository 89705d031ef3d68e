"""The systems and channels that Taskbell talks to, emulated over a real socket.

For the demo, for `taskbell sandbox`, and for tests. Nothing else imports it.
"""

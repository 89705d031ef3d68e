"""What tests are built of: servers, receivers, a whole Taskbell in one process, histories."""

"""The processes of `taskbell serve`: embedded servers, web and workers."""

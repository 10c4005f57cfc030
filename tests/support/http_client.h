/* SPDX-License-Identifier: BSD-2-Clause */
/* A client of HTTP for tests: raw sockets to 127.0.0.1, so that it can say what no client would. */
#ifndef WEIR_TEST_HTTP_CLIENT_H
#define WEIR_TEST_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

struct http_answer {
	int code;         /* 0: the connection ended without a whole head */
	char *head;       /* with the status line, NUL-terminated */
	const char *body; /* behind it */
	size_t length;    /* of what came of the body */
	char *all;
};

/* A connection, or -1. */
int http_connect(int port);

/* Sends all of it; false: the other side has ended. */
bool http_send(int fd, const char *bytes, size_t n);

/* Reads until the other side ends, or answer-by-answer where one has a Content-Length. */
struct http_answer http_hear(int fd, bool has_body);

/* Sends a request as it stands and hears the answer, on a connection of its own. */
struct http_answer http_say(int port, const char *request);

/* GET path, with what a client says, and closes. */
struct http_answer http_get(int port, const char *path);

/* The value of a header of the answer, or NULL; valid until the next call. */
const char *http_header(const struct http_answer *answer, const char *name);

void http_drop(struct http_answer *answer);

#endif

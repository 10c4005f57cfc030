/* SPDX-License-Identifier: BSD-2-Clause */
/* A client of HTTP for tests: http_client.h. */
#include "support/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

int http_connect(int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

bool http_send(int fd, const char *bytes, size_t n)
{
	while (n) {
		ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		bytes += sent;
		n -= (size_t)sent;
	}
	return true;
}

/* How many bytes are to come in all, once the head is there; SIZE_MAX: until the end. */
static size_t wanted(const char *all, bool has_body)
{
	const char *end = strstr(all, "\r\n\r\n");
	const char *length = end ? strcasestr(all, "\r\nContent-Length:") : NULL;

	if (!end)
		return SIZE_MAX;
	if (!has_body)
		return (size_t)(end + 4 - all);
	return length && length < end ? (size_t)(end + 4 - all) + strtoul(length + 17, NULL, 10)
	                              : SIZE_MAX;
}

struct http_answer http_hear(int fd, bool has_body)
{
	struct http_answer a = {.all = calloc(1, 1 << 20)};
	size_t n = 0, room = (1 << 20) - 1;
	char *end;

	while (n < room && n < wanted(a.all, has_body)) {
		ssize_t more = read(fd, a.all + n, room - n);

		if (more <= 0)
			break;
		n += (size_t)more;
	}
	end = strstr(a.all, "\r\n\r\n");
	if (!end || strncmp(a.all, "HTTP/1.", 7) != 0)
		return a;
	a.head = strndup(a.all, (size_t)(end + 2 - a.all));
	a.body = end + 4;
	a.length = n - (size_t)(a.body - a.all);
	a.code = (int)strtol(a.all + 9, NULL, 10);
	return a;
}

struct http_answer http_say(int port, const char *request)
{
	int fd = http_connect(port);
	struct http_answer a = {0};

	if (fd < 0)
		return a;
	http_send(fd, request, strlen(request));
	a = http_hear(fd, strncmp(request, "HEAD", 4) != 0);
	close(fd);
	return a;
}

struct http_answer http_get(int port, const char *path)
{
	char request[1024];

	snprintf(request, sizeof(request),
	         "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n", path, port);
	return http_say(port, request);
}

const char *http_header(const struct http_answer *a, const char *name)
{
	static char value[1024];
	size_t n = strlen(name);

	for (const char *at = a->head ? strstr(a->head, "\r\n") : NULL; at;
	     at = strstr(at + 2, "\r\n"))
		if (strncasecmp(at + 2, name, n) == 0 && at[2 + n] == ':') {
			const char *from = at + 3 + n + strspn(at + 3 + n, " ");

			snprintf(value, sizeof(value), "%.*s", (int)strcspn(from, "\r"), from);
			return value;
		}
	return NULL;
}

void http_drop(struct http_answer *a)
{
	free(a->head);
	free(a->all);
	*a = (struct http_answer){0};
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small HTTP service: users, read from the replicas and written on the primary.
 *
 *     http_service [URL] [--port N]
 *
 *     GET  /users     all of them, as JSON; from a replica
 *     POST /users     one more, whose name is the body; on the primary
 *     GET  /health    200 or 503, and why
 *     GET  /metrics   for Prometheus
 *
 * Who has written sees it: the answer to a POST carries a cookie with the position that the write
 * reached in the write-ahead log, and a GET that brings the cookie is served by a replica that has
 * replayed so far, or by the primary. Nothing about users is kept in this process.
 *
 * SIGTERM and Ctrl-C: it takes no new connections, answers what it has, and closes the pool.
 */
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#include <weir/weir.h>

#define THREADS 8
#define LONGEST_NAME 200

/* ---- answers ---- */

struct answer {
	unsigned status;
	const char *type;
	char *body;                   /* by malloc; the answer's */
	char cookie[WEIR_TOKEN_TEXT]; /* "": none */
	char served_by[300];
};

static void say(struct answer *a, unsigned status, const char *type, const char *body)
{
	a->status = status;
	a->type = type;
	free(a->body);
	a->body = strdup(body);
}

/* What went wrong is for the log; a client learns whether to come again. */
static void refuse(struct answer *a, weir_status status, const weir_error *error)
{
	bool later = status == WEIR_TIMEOUT || status == WEIR_EXHAUSTED || status == WEIR_SHED ||
	             status == WEIR_UNAVAILABLE || status == WEIR_CONNECT || status == WEIR_CLOSED;

	fprintf(stderr, "http_service: %s: %s\n", weir_status_name(status), error->text);
	say(a, later ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_INTERNAL_SERVER_ERROR, "text/plain",
	    later ? "try again in a moment\n" : "this went wrong\n");
}

static void note_host(struct answer *a, const weir_conn *c)
{
	weir_conn_info info;

	if (weir_conn_info_get(c, &info) == WEIR_OK)
		snprintf(a->served_by, sizeof(a->served_by), "%s (%s)", info.host,
		         weir_role_name(info.role));
}

static enum MHD_Result send_answer(struct MHD_Connection *client, struct answer *a)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		a->body ? strlen(a->body) : 0, a->body, MHD_RESPMEM_MUST_FREE);
	char cookie[WEIR_TOKEN_TEXT + 64];
	enum MHD_Result result;

	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, a->type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (a->served_by[0])
		MHD_add_response_header(response, "X-Served-By", a->served_by);
	if (a->cookie[0]) {
		snprintf(cookie, sizeof(cookie), "seen=%s; Path=/; HttpOnly; SameSite=Lax",
		         a->cookie);
		MHD_add_response_header(response, MHD_HTTP_HEADER_SET_COOKIE, cookie);
	}
	result = MHD_queue_response(client, a->status, response);
	MHD_destroy_response(response);
	return result;
}

/* ---- users ---- */

/* PostgreSQL writes the JSON. */
static void list_users(weir_router *router, struct MHD_Connection *client, struct answer *a)
{
	const char *seen = MHD_lookup_connection_value(client, MHD_COOKIE_KIND, "seen");
	const weir_statement all = WEIR_STATEMENT(
			.sql = "SELECT coalesce(json_agg(u ORDER BY u.id), '[]') FROM users u");
	weir_request request = WEIR_REQUEST(.intent = WEIR_READ, .tag = "GET /users");
	WEIR_SCOPED weir_conn *c = NULL;
	PGresult *result = NULL;
	weir_error error;
	weir_status status;

	if (seen && weir_token_parse(seen, &request.at_least) != WEIR_OK) {
		say(a, MHD_HTTP_BAD_REQUEST, "text/plain", "that cookie is not from here\n");
		return;
	}
	status = weir_checkout_with(router, &request, &c, &error);
	if (status == WEIR_OK) {
		note_host(a, c);
		status = weir_conn_query(c, &all, &result, &error);
	}
	if (status == WEIR_OK)
		say(a, MHD_HTTP_OK, "application/json", PQgetvalue(result, 0, 0));
	else
		refuse(a, status, &error);
	PQclear(result);
}

static void add_user(weir_router *router, const char *name, struct answer *a)
{
	const weir_statement add = WEIR_STATEMENT(
			.sql = "INSERT INTO users (name) VALUES ($1) RETURNING to_json(users)",
			.n_params = 1, .values = &name);
	const weir_request request = WEIR_REQUEST(.intent = WEIR_WRITE, .tag = "POST /users");
	WEIR_SCOPED weir_conn *c = NULL;
	PGresult *result = NULL;
	weir_token token;
	weir_error error;
	weir_status status;

	status = weir_checkout_with(router, &request, &c, &error);
	if (status == WEIR_OK) {
		note_host(a, c);
		status = weir_conn_query(c, &add, &result, &error);
	}
	if (status == WEIR_OK) {
		say(a, MHD_HTTP_CREATED, "application/json", PQgetvalue(result, 0, 0));
		/*
		 * Where the position cannot be had, one that only the primary satisfies is right.
		 */
		if (weir_token_take(c, 1000, &token, &error) != WEIR_OK)
			token = (weir_token)WEIR_TOKEN_PRIMARY;
		weir_token_print(&token, a->cookie);
	} else {
		refuse(a, status, &error);
	}
	PQclear(result);
}

/* ---- for those who run it ---- */

static void tell_health(weir_router *router, struct answer *a)
{
	weir_health health;
	weir_error error;
	char text[WEIR_ERROR_TEXT + 16];

	if (weir_router_health(router, 1000, &health, &error) != WEIR_OK) {
		refuse(a, error.status, &error);
		return;
	}
	snprintf(text, sizeof(text), "%s\n%s\n", weir_health_name(health.status), health.why);
	say(a, health.status == WEIR_UNHEALTHY ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK,
	    "text/plain", text);
}

static void tell_metrics(weir_router *router, struct answer *a)
{
	weir_error error;
	size_t length;
	char *text;
	weir_status status =
		weir_router_metrics(router, WEIR_METRICS_PROMETHEUS, &text, &length, &error);

	if (status == WEIR_OK) {
		say(a, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text);
		weir_text_free(text);
	} else {
		refuse(a, status, &error);
	}
}

/* ---- requests ---- */

/* Those that have begun and are not answered to the last byte. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	long n;
} under_way = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

static void count_request(long by)
{
	pthread_mutex_lock(&under_way.lock);
	under_way.n += by;
	pthread_cond_broadcast(&under_way.changed);
	pthread_mutex_unlock(&under_way.lock);
}

static void await_requests(int seconds)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += seconds;
	pthread_mutex_lock(&under_way.lock);
	while (under_way.n > 0 &&
	       pthread_cond_timedwait(&under_way.changed, &under_way.lock, &until) == 0)
		;
	pthread_mutex_unlock(&under_way.lock);
}

/* What has come of a body so far. */
struct body {
	size_t length;
	char text[LONGEST_NAME + 1];
};

static void route(weir_router *router, struct MHD_Connection *client, const char *method,
                  const char *path, const struct body *body, struct answer *a)
{
	bool get = strcmp(method, MHD_HTTP_METHOD_GET) == 0;

	if (strcmp(path, "/users") == 0 && get)
		list_users(router, client, a);
	else if (strcmp(path, "/users") == 0 && strcmp(method, MHD_HTTP_METHOD_POST) == 0)
		if (body->length == 0 || body->length > LONGEST_NAME)
			say(a, MHD_HTTP_BAD_REQUEST, "text/plain", "a name of 1 to 200 bytes\n");
		else
			add_user(router, body->text, a);
	else if (strcmp(path, "/health") == 0 && get)
		tell_health(router, a);
	else if (strcmp(path, "/metrics") == 0 && get)
		tell_metrics(router, a);
	else
		say(a, MHD_HTTP_NOT_FOUND, "text/plain",
		    "GET /users, POST /users, /health, /metrics\n");
}

/* libmicrohttpd calls this when a request has begun, for each part of its body, and at its end. */
static enum MHD_Result on_request(void *router, struct MHD_Connection *client, const char *path,
                                  const char *method, const char *version, const char *part,
                                  size_t *part_size, void **state)
{
	struct body *body = *state;
	struct answer answer = {0};
	size_t room;

	(void)version;
	if (!body) {
		*state = calloc(1, sizeof(*body));
		if (*state)
			count_request(1);
		return *state ? MHD_YES : MHD_NO;
	}
	if (*part_size > 0) {
		room = body->length < LONGEST_NAME ? LONGEST_NAME - body->length : 0;
		memcpy(body->text + (LONGEST_NAME - room), part,
		       *part_size < room ? *part_size : room);
		body->length += *part_size;
		*part_size = 0;
		return MHD_YES;
	}
	route(router, client, method, path, body, &answer);
	return send_answer(client, &answer);
}

static void on_end(void *arg, struct MHD_Connection *client, void **state,
                   enum MHD_RequestTerminationCode how)
{
	(void)arg;
	(void)client;
	(void)how;
	if (*state)
		count_request(-1);
	free(*state);
}

/* ---- the program ---- */

static void on_event(void *arg, const weir_event *event)
{
	(void)arg;
	fprintf(stderr, "http_service: %s %s: %s\n", weir_event_name(event->kind), event->host,
	        event->text);
}

/*
 * Until each replica that answers has the table, too: a read without a cookie may go to any of
 * them. One that is stopped, or far behind, is waited for no longer than some ten seconds.
 */
static void await_replicas(weir_router *router, const weir_token *made)
{
	static weir_host_stats hosts[16];
	bool behind = true;

	for (time_t end = time(NULL) + 10; behind && time(NULL) < end; usleep(20000)) {
		size_t n = weir_router_probe(router, 10000) == WEIR_OK
		                   ? weir_router_stats_get(router, hosts, 16)
		                   : 0;

		behind = false;
		for (size_t k = 0; k < n && k < 16; k++)
			behind |= hosts[k].role == WEIR_ROLE_REPLICA && hosts[k].lsn < made->lsn;
	}
}

static bool open_router(const char *url, weir_router **router)
{
	weir_options options;
	weir_token made;
	weir_error error;
	bool ok;

	weir_options_init(&options);
	options.on_event = on_event;
	options.pool_max = THREADS; /* never more at once than there are threads */
	options.checkout_timeout_ms = 5000;
	ok = weir_options_from_env(&options, &error) == WEIR_OK &&
	     weir_router_open(url, &options, router, &error) == WEIR_OK;
	if (ok) {
		WEIR_SCOPED weir_conn *c = NULL;

		ok = weir_checkout(*router, WEIR_WRITE, &c, &error) == WEIR_OK &&
		     weir_exec(c,
		               "CREATE TABLE IF NOT EXISTS users"
		               "(id bigserial PRIMARY KEY, name text NOT NULL)",
		               10000, &error) == WEIR_OK &&
		     weir_token_take(c, 10000, &made, &error) == WEIR_OK;
	}
	if (ok)
		await_replicas(*router, &made);
	else
		fprintf(stderr, "http_service: %s\n", error.text);
	return ok;
}

/* Until a signal says that it is over; then what is under way is answered. */
static bool serve(weir_router *router, int port, const sigset_t *ends)
{
	const struct sockaddr_in in = {.sin_family = AF_INET,
	                               .sin_port = htons((uint16_t)port),
	                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct MHD_Daemon *daemon = MHD_start_daemon(
		MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL | MHD_USE_ITC, 0, NULL, NULL,
		on_request, router, MHD_OPTION_SOCK_ADDR, &in, MHD_OPTION_THREAD_POOL_SIZE,
		(unsigned)THREADS, MHD_OPTION_CONNECTION_TIMEOUT, 10u, MHD_OPTION_CONNECTION_LIMIT,
		256u, MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL, MHD_OPTION_END);
	int number;

	if (!daemon) {
		fprintf(stderr, "http_service: port %d cannot be had\n", port);
		return false;
	}
	printf("listening on 127.0.0.1:%d\n",
	       MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
	fflush(stdout);
	sigwait(ends, &number);
	close(MHD_quiesce_daemon(daemon)); /* nobody new */
	await_requests(10);
	MHD_stop_daemon(daemon);
	return true;
}

int main(int argc, char **argv)
{
	const char *url = NULL; /* the environment: DATABASE_URL, DB_HOST, ... */
	weir_router *router = NULL;
	sigset_t ends;
	int port = 8080;
	bool ok;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--port") == 0 && i + 1 < argc)
			port = atoi(argv[++i]);
		else
			url = argv[i];
	}
	/* Before any thread begins, so that all of them leave these to sigwait. */
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	signal(SIGPIPE, SIG_IGN);
	ok = open_router(url, &router) && serve(router, port, &ends);
	return weir_router_close(&router, 5000) == WEIR_OK && ok ? 0 : 1;
}

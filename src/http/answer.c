/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A request and its answer. What can be asked for is a table; there is no file system behind it, no
 * parameter is read, and nothing of a request is repeated in an answer.
 */
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>

#include "http/http.h"
#include "http/page.h"

/* The page is from here, all of it; nobody frames it, and it sends nothing to anybody. */
static const char policy[] =
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static const char *const safety[][2] = {
	{"Cache-Control", "no-store"},         {"Content-Security-Policy", policy},
	{"X-Content-Type-Options", "nosniff"}, {"X-Frame-Options", "DENY"},
	{"Referrer-Policy", "no-referrer"},    {"Cross-Origin-Resource-Policy", "same-origin"},
};

static const struct {
	const char *path, *file, *type;
} pages[] = {
	{"/", "page.html", "text/html; charset=utf-8"},
	{"/page.css", "page.css", "text/css; charset=utf-8"},
	{"/page.js", "page.js", "text/javascript; charset=utf-8"},
	{"/icon.svg", "icon.svg", "image/svg+xml"},
};

/* ---- sending ---- */

static bool add_head(struct MHD_Response *r, const char *type)
{
	bool well = MHD_add_response_header(r, "Content-Type", type) == MHD_YES;

	for (size_t i = 0; i < sizeof(safety) / sizeof(*safety); i++)
		well = MHD_add_response_header(r, safety[i][0], safety[i][1]) == MHD_YES && well;
	return well;
}

/* Sends it, if there is one; the answer is given up in any case. */
static bool answer_with(struct wi_client *c, struct MHD_Response *r, unsigned code,
                        const char *type)
{
	bool well;

	if (!r)
		return false;
	well = add_head(r, type);
	if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
		well = MHD_add_response_header(r, "Allow", "GET, HEAD") == MHD_YES && well;
	well = well && MHD_queue_response(c->connection, code, r) == MHD_YES;
	MHD_destroy_response(r);
	return well;
}

static struct MHD_Response *constant(const void *bytes, size_t length)
{
	/* libmicrohttpd takes it as not constant, and does not write to it. */
	union {
		const void *in;
		void *out;
	} same = {.in = bytes};

	return MHD_create_response_from_buffer(length, same.out, MHD_RESPMEM_PERSISTENT);
}

static bool refuse(struct wi_client *c, unsigned code, const char *text)
{
	return answer_with(c, constant(text, strlen(text)), code, "text/plain; charset=utf-8");
}

static bool send_body(struct wi_client *c, struct wi_body *body)
{
	struct MHD_Response *r;

	if (!body->text)
		return refuse(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "no memory\n");
	r = MHD_create_response_from_buffer(body->length, body->text, MHD_RESPMEM_MUST_FREE);
	if (!r)
		free(body->text);
	return answer_with(c, r, body->code, body->type);
}

static bool send_page(struct wi_client *c, const char *file, const char *type)
{
	for (const struct wi_page_file *f = wi_page_files; f->name; f++)
		if (strcmp(f->name, file) == 0)
			return answer_with(c, constant(f->bytes, f->length), MHD_HTTP_OK, type);
	return refuse(c, MHD_HTTP_NOT_FOUND, "there is no such page\n");
}

/* ---- what is wrong with a request ---- */

struct seen {
	const char *host;
	unsigned hosts;
	bool has_body;
};

static enum MHD_Result see(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct seen *s = arg;

	(void)kind;
	if (strcasecmp(name, "Host") == 0) {
		s->host = value ? value : "";
		s->hosts++;
	} else if (strcasecmp(name, "Transfer-Encoding") == 0 ||
	           (strcasecmp(name, "Content-Length") == 0 && value && strcmp(value, "0") != 0)) {
		s->has_body = true;
	}
	return MHD_YES;
}

/* The one name a request is for; HTTP/1.0 need not say one. */
static bool is_for_us(const struct weir_http *h, const struct seen *s, const char *version)
{
	if (s->hosts == 0)
		return strcmp(version, "HTTP/1.0") == 0;
	return s->hosts == 1 && wi_settings_know(&h->settings, s->host);
}

/* ---- answers ---- */

typedef void look_body(struct weir_http *h, bool late, struct wi_body *body);

/* After a look that is still good, or the one that this client has waited for. */
static bool send_look(struct weir_http *h, struct wi_client *c, look_body *make)
{
	struct wi_body body = {0};
	bool late = false;
	uint64_t round;

	if (c->round) {
		late = wi_look_finished(h) < c->round;
		c->round = 0;
	} else if ((round = wi_look_ask(h)) != 0) {
		wi_serve_wait(h, c, round);
		return true;
	}
	make(h, late, &body);
	return send_body(c, &body);
}

static bool send_metrics(struct weir_http *h, struct wi_client *c)
{
	struct wi_body body = {0};

	wi_metrics_body(h, MHD_lookup_connection_value(c->connection, MHD_HEADER_KIND, "Accept"),
	                &body);
	return send_body(c, &body);
}

static bool send_state(struct weir_http *h, struct wi_client *c)
{
	struct wi_body body = {0};

	wi_state_body(h, &body);
	return send_body(c, &body);
}

static bool send_path(struct weir_http *h, struct wi_client *c, const char *path)
{
	if (strcmp(path, "/health") == 0)
		return send_look(h, c, wi_health_body);
	if (strcmp(path, "/ready") == 0)
		return send_look(h, c, wi_ready_body);
	if (strcmp(path, "/metrics") == 0)
		return send_metrics(h, c);
	if (strcmp(path, "/state.json") == 0)
		return send_state(h, c);
	for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++)
		if (strcmp(path, pages[i].path) == 0)
			return send_page(c, pages[i].file, pages[i].type);
	return refuse(c, MHD_HTTP_NOT_FOUND, "there is no such page\n");
}

bool wi_answer(struct weir_http *h, struct wi_client *c, bool is_whole, const char *path,
               const char *method, const char *version)
{
	struct seen seen = {0};

	if (is_whole)
		return send_path(h, c, path);
	MHD_get_connection_values(c->connection, MHD_HEADER_KIND, see, &seen);
	if (!is_for_us(h, &seen, version))
		return refuse(c, MHD_HTTP_MISDIRECTED_REQUEST,
		              "this server is not asked by that name: see `hosts`\n");
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return refuse(c, MHD_HTTP_METHOD_NOT_ALLOWED, "GET and HEAD only\n");
	if (seen.has_body)
		return refuse(c, MHD_HTTP_BAD_REQUEST, "no body is taken\n");
	return true;
}

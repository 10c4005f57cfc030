/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lists of hosts, addresses and ports become endpoints: who goes with whom, and what each may look
 * like.
 */
#include "config/parse.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/text.h"
#include "config/value.h"

#define DEFAULT_PORT "5432"
#define BLANKS " \t\n\v\f\r"

/* A piece of a list: text that does not end where the piece ends. */
struct piece {
	const char *at;
	size_t length;
};

static size_t count_pieces(const char *list)
{
	size_t n = 1;

	if (!list || !*list)
		return 0;
	for (; *list; list++)
		n += *list == ',';
	return n;
}

/*
 * The next piece of a list; *list is left behind its comma, or NULL at the end. A NULL list has
 * empty pieces.
 */
static struct piece next_piece(const char **list)
{
	struct piece piece = {"", 0};

	if (!*list)
		return piece;
	piece.at = *list;
	piece.length = strcspn(*list, ",");
	*list = piece.at[piece.length] ? piece.at + piece.length + 1 : NULL;
	return piece;
}

/* Who is at fault, for the errors about one host. */
struct place {
	const struct wi_list *list;
	const char *hint;
	size_t number; /* of the host, from 1 */
	weir_error *error;
};

static weir_status fail_place(const struct place *place, const char *noun, struct piece piece,
                              const char *what)
{
	char text[64], clean[64];
	bool quote = place->list->quotable;

	wi_copy(text, piece.length < sizeof(text) ? piece.length + 1 : sizeof(text), piece.at);
	wi_copy_clean(clean, sizeof(clean), text, NULL);
	return wi_fail(place->error, WEIR_INVALID, "%s: %s%s%s%s of host %zu %s%s",
	               place->list->source, noun, quote ? " \"" : "", quote ? clean : "",
	               quote ? "\"" : "", place->number, what, place->hint);
}

static bool is_socket(const char *host)
{
	return host[0] == '/' || host[0] == '@';
}

/*
 * A name that no resolver can know is told at once; above all one that is the rest of a password.
 */
static const char *wrong_name(const char *host)
{
	if (is_socket(host))
		return NULL;
	for (; *host; host++) {
		if ((unsigned char)*host <= ' ' || *host == 0x7f)
			return "has a blank or a control character in it";
		if (strchr("@/\\", *host))
			return "has a character in it that is in no host's name";
	}
	return NULL;
}

static weir_status take_host(struct wi_endpoint *e, struct piece piece, const struct place *place)
{
	const char *wrong;

	if (piece.length >= sizeof(e->host))
		return fail_place(place, "the name", piece, "is too long");
	memcpy(e->host, piece.at, piece.length);
	wrong = wrong_name(e->host);
	return wrong ? fail_place(place, "the name", piece, wrong) : WEIR_OK;
}

static weir_status take_address(struct wi_endpoint *e, struct piece piece,
                                const struct place *place)
{
	struct addrinfo numeric = {.ai_flags = AI_NUMERICHOST}, *found = NULL;

	if (!piece.length)
		return WEIR_OK;
	if (piece.length >= sizeof(e->hostaddr))
		return fail_place(place, "the address", piece, "is too long");
	memcpy(e->hostaddr, piece.at, piece.length);
	if (getaddrinfo(e->hostaddr, NULL, &numeric, &found) != 0)
		return fail_place(place, "the address", piece, "is not a numeric address");
	freeaddrinfo(found);
	return WEIR_OK;
}

/* As libpq reads a number: blanks around it and a sign are allowed. */
static weir_status take_port(struct wi_endpoint *e, struct piece piece, const struct place *place)
{
	char digits[64], *end;
	long port;
	struct wi_text t;

	if (!piece.length)
		return WEIR_OK;
	if (piece.length >= sizeof(digits))
		return fail_place(place, "the port", piece, "is not a number");
	memcpy(digits, piece.at, piece.length);
	digits[piece.length] = '\0';
	errno = 0;
	port = strtol(digits, &end, 10);
	if (end == digits || end[strspn(end, BLANKS)])
		return fail_place(place, "the port", piece, "is not a number");
	if (errno || port < 1 || port > 65535)
		return fail_place(place, "the port", piece, "is out of range: 1 to 65535");
	wi_text_init(&t, e->port, sizeof(e->port));
	wi_text_add(&t, "%ld", port);
	return WEIR_OK;
}

/* "host:port" for people. */
static void make_name(struct wi_endpoint *e)
{
	const char *host = *e->host ? e->host : *e->hostaddr ? e->hostaddr : "[local]";
	bool bracket = strchr(host, ':') && !is_socket(host);
	char name[sizeof(e->name)];
	struct wi_text t;

	wi_text_init(&t, name, sizeof(name));
	wi_text_add(&t, bracket ? "[%.240s]" : "%.240s", host);
	if (*e->port)
		wi_text_add(&t, ":%s", e->port);
	wi_copy_clean(e->name, sizeof(e->name), name, NULL);
}

static bool equal(const struct wi_endpoint *a, const struct wi_endpoint *b)
{
	bool same_host = is_socket(a->host) ? strcmp(a->host, b->host) == 0
	                                    : strcasecmp(a->host, b->host) == 0;

	return same_host && strcmp(a->hostaddr, b->hostaddr) == 0 && strcmp(a->port, b->port) == 0;
}

/* Fills in what can be derived, and looks for a twin among those before it. */
static weir_status finish(struct wi_endpoint *hosts, size_t i, bool fill_port, const char *source,
                          weir_error *error)
{
	struct wi_endpoint *e = &hosts[i];

	if (!*e->port && fill_port)
		wi_copy(e->port, sizeof(e->port), DEFAULT_PORT);
	make_name(e);
	for (size_t k = 0; k < i; k++)
		if (equal(&hosts[k], e))
			return wi_fail(error, WEIR_INVALID, "%s: host %zu is the same as host %zu",
			               source, i + 1, k + 1);
	return WEIR_OK;
}

static weir_status check_counts(const struct wi_parse *lists, size_t n_hosts, weir_error *error)
{
	size_t names = count_pieces(lists->hosts.text), ports = count_pieces(lists->ports.text);

	if (names && names != n_hosts)
		return wi_fail(error, WEIR_INVALID,
		               "%s: %zu host names beside %zu addresses (hostaddr)",
		               lists->hosts.source, names, n_hosts);
	if (ports > 1 && ports != n_hosts)
		return wi_fail(error, WEIR_INVALID,
		               "%s: %zu ports for %zu host%s: give one for all, or one for each%s",
		               lists->ports.source, ports, n_hosts, n_hosts == 1 ? "" : "s",
		               lists->hint);
	return WEIR_OK;
}

/* An empty list is as good as none. */
static const char *list_text(const struct wi_list *list)
{
	return list->text && *list->text ? list->text : NULL;
}

static weir_status fill(struct wi_endpoint *hosts, size_t n, const struct wi_parse *lists,
                        bool fill_port, weir_error *error)
{
	const char *name = list_text(&lists->hosts), *address = list_text(&lists->addresses);
	const char *port = list_text(&lists->ports);
	bool one_port = count_pieces(port) == 1;

	for (size_t i = 0; i < n; i++) {
		struct place place = {&lists->hosts, lists->hint, i + 1, error};
		const char *only_port = port;
		weir_status status = take_host(&hosts[i], next_piece(&name), &place);

		place.list = &lists->addresses;
		if (status == WEIR_OK)
			status = take_address(&hosts[i], next_piece(&address), &place);
		place.list = &lists->ports;
		if (status == WEIR_OK)
			status = take_port(&hosts[i], next_piece(one_port ? &only_port : &port),
			                   &place);
		if (status == WEIR_OK)
			status = finish(hosts, i, fill_port, lists->source, error);
		if (status != WEIR_OK)
			return status;
	}
	return WEIR_OK;
}

weir_status wi_endpoints_make(const struct wi_parse *lists, bool fill_port,
                              struct wi_endpoint **hosts, size_t *n_hosts, weir_error *error)
{
	size_t n = count_pieces(lists->addresses.text);
	struct wi_endpoint *made;
	weir_status status;

	if (!n)
		n = count_pieces(lists->hosts.text);
	if (!n)
		n = 1;
	status = check_counts(lists, n, error);
	if (status != WEIR_OK)
		return status;
	made = wi_alloc(n * sizeof(*made));
	if (!made)
		return wi_fail(error, WEIR_NO_MEMORY, "out of memory");
	status = fill(made, n, lists, fill_port, error);
	if (status != WEIR_OK) {
		explicit_bzero(made, n * sizeof(*made));
		wi_free(made, n * sizeof(*made));
		return status;
	}
	*hosts = made;
	*n_hosts = n;
	return WEIR_OK;
}

static struct piece trimmed(struct piece piece)
{
	while (piece.length && strchr(BLANKS, piece.at[piece.length - 1]))
		piece.length--;
	while (piece.length && strchr(BLANKS, *piece.at)) {
		piece.at++;
		piece.length--;
	}
	return piece;
}

/*
 * Parts "name:port", "[address]:port", "name", "address"; false: the brackets or colons make no
 * sense.
 */
static bool part_endpoint(struct piece whole, struct piece *host, struct piece *port)
{
	const char *end = whole.at + whole.length, *stop;

	*host = whole;
	*port = (struct piece){"", 0};
	if (*whole.at == '[') {
		stop = memchr(whole.at, ']', whole.length);
		if (!stop || stop == whole.at + 1 || (stop + 1 < end && stop[1] != ':'))
			return false;
		*host = (struct piece){whole.at + 1, (size_t)(stop - whole.at - 1)};
		stop++;
	} else {
		stop = memchr(whole.at, ':', whole.length);
		if (!stop)
			return true;
		if (memchr(stop + 1, ':', (size_t)(end - stop - 1)))
			/* an IPv6 address needs brackets: its last group could be a port */
			return false;
		host->length = (size_t)(stop - whole.at);
	}
	if (stop < end)
		*port = (struct piece){stop + 1, (size_t)(end - stop - 1)};
	return host->length && (stop == end || port->length);
}

static weir_status take_endpoint(struct wi_endpoint *hosts, size_t i, struct piece whole,
                                 bool quotable, weir_error *error)
{
	struct wi_list list = {.source = "list of endpoints", .quotable = quotable};
	struct place place = {&list,
	                      quotable ? "" : ": give host:port, not a URL or a connection string",
	                      i + 1, error};
	struct piece host, port;
	weir_status status;

	whole = trimmed(whole);
	if (!whole.length)
		return wi_fail(error, WEIR_INVALID, "list of endpoints: host %zu is empty", i + 1);
	if (!part_endpoint(whole, &host, &port))
		return fail_place(&place, "the text", whole,
		                  "is not host, host:port or [address]:port");
	status = take_host(&hosts[i], host, &place);
	if (status == WEIR_OK)
		status = take_port(&hosts[i], port, &place);
	return status == WEIR_OK ? finish(hosts, i, true, list.source, error) : status;
}

weir_status wi_endpoints_parse(const char *text, struct wi_endpoint **hosts, size_t *n_hosts,
                               weir_error *error)
{
	/*
	 * A pasted URL or connection string: somewhere in it is a password, and commas in that may
	 * have cut it into any pieces.
	 */
	bool quotable = !wi_value_may_be_conninfo(text);
	struct wi_endpoint *made;
	size_t n = text[strspn(text, BLANKS)] ? count_pieces(text) : 0;
	weir_status status = WEIR_OK;

	*hosts = NULL;
	*n_hosts = 0;
	if (!n)
		return WEIR_OK;
	made = wi_alloc(n * sizeof(*made));
	if (!made)
		return wi_fail(error, WEIR_NO_MEMORY, "out of memory");
	for (size_t i = 0; i < n && status == WEIR_OK; i++)
		status = take_endpoint(made, i, next_piece(&text), quotable, error);
	if (status != WEIR_OK) {
		wi_free(made, n * sizeof(*made));
		return status;
	}
	*hosts = made;
	*n_hosts = n;
	return WEIR_OK;
}

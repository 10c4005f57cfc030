/* SPDX-License-Identifier: BSD-2-Clause */
/* The pages of the manual in mdoc(7). */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/weir.h>

#include "cli/man.h"
#include "cli/text.h"

#define DATE "November 21, 2026" /* when the texts of this file were last gone over */
#define WIDTH 78

/* ---- text in mdoc ---- */

/*
 * Prints prose: folded, a sentence begins a line, nothing in it is a request. Lines that begin with
 * two spaces are commands, shown as they are.
 */
static void print_escaped(FILE *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\\')
			fputs("\\e", out);
		else if (text[i] == '-' && (i == 0 || text[i - 1] == ' ' || text[i - 1] == '-'))
			fputs("\\-", out);
		else
			putc(text[i], out);
	}
}

static void print_line(FILE *out, const char *text, size_t len)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	print_escaped(out, text, len);
	putc('\n', out);
}

/* How long the sentence at text is, without the space behind it. */
static size_t sentence(const char *text, size_t len)
{
	for (size_t i = 0; i + 2 < len; i++)
		if (strchr(".:;!?", text[i]) && text[i + 1] == ' ')
			return i + 1;
	return len;
}

static void print_folded(FILE *out, const char *text, size_t len)
{
	while (len > WIDTH) {
		size_t n = WIDTH;

		while (n && text[n] != ' ')
			n--;
		if (!n)
			break;
		print_line(out, text, n);
		text += n + 1;
		len -= n + 1;
	}
	if (len)
		print_line(out, text, len);
}

static void print_prose(FILE *out, const char *text, size_t len)
{
	while (len) {
		size_t n = sentence(text, len);

		print_folded(out, text, n);
		n += n < len;
		text += n;
		len -= n;
	}
}

static void print_commands(FILE *out, const char *text, size_t len)
{
	const char *end = text + len;

	fputs(".Bd -literal -offset indent\n", out);
	while (text < end) {
		size_t n = strcspn(text, "\n");

		print_line(out, text + 2, n - 2);
		text += n + (text + n < end);
	}
	fputs(".Ed\n", out);
}

static void print_paragraphs(FILE *out, const char *text)
{
	bool first = true;

	while (*text) {
		size_t len = cli_paragraph(text);

		if (*text == ' ') {
			print_commands(out, text, len);
		} else {
			if (!first)
				fputs(".Pp\n", out);
			print_prose(out, text, len);
		}
		first = false;
		text += len + strspn(text + len, "\n");
	}
}

/* A sentence of a table, which has no full stop there. */
static void print_sentence(FILE *out, const char *text)
{
	size_t len = strlen(text);
	char *whole = cli_alloc(len + 2, 1);

	memcpy(whole, text, len);
	whole[0] = (char)toupper((unsigned char)whole[0]);
	whole[len] = '.';
	print_prose(out, whole, len + 1);
	free(whole);
}

/* ---- parts of pages ---- */

static void begin(FILE *out, const char *name, int section, const char *brief)
{
	fprintf(out, ".\\\" Written by: weir man %s\n.Dd %s\n.Dt ", name, DATE);
	for (const char *c = name; *c; c++)
		putc(toupper((unsigned char)*c), out);
	fprintf(out, " %d\n.Os weir %s\n.Sh NAME\n.Nm %s\n.Nd %s\n", section, weir_version(), name,
	        brief);
}

/* The first word after that name by the alphabet, or NULL. */
static const char *word_after(const char *name)
{
	const char *next = NULL;

	for (size_t i = 0; cli_words[i]; i++)
		if (strcmp(cli_words[i]->name, name) > 0 &&
		    (!next || strcmp(cli_words[i]->name, next) < 0))
			next = cli_words[i]->name;
	return next;
}

static void see_words(FILE *out)
{
	for (const char *name = word_after(""); name; name = word_after(name))
		fprintf(out, ".Xr weir-%s 1 ,\n", name);
}

/* Other pages than this one: from weir's all can be reached. */
static void see_also(FILE *out, const char *name)
{
	fputs(".Sh SEE ALSO\n", out);
	if (!strcmp(name, "weir"))
		see_words(out);
	else
		fputs(".Xr weir 1 ,\n", out);
	if (strcmp(name, "weir_options") != 0)
		fprintf(out, ".Xr weir_options 5%s\n", strcmp(name, "libweir") ? " ," : "");
	if (strcmp(name, "libweir") != 0)
		fputs(".Xr libweir 7\n", out);
}

static void print_flag(FILE *out, const char *request, const struct cli_option *o)
{
	fprintf(out, "%s Fl Fl %s%s%s\n", request, o->name, o->value ? " Ar " : "",
	        o->value ? o->value : "");
}

static void print_environment(FILE *out)
{
	fputs(".Sh ENVIRONMENT\n"
	      ".Bl -tag -width DATABASE_URL\n"
	      ".It Ev DATABASE_URL\n"
	      "The connection string, where none is given; else libpq's\n"
	      ".Ev PGHOST ,\n"
	      ".Ev PGPORT\n"
	      "and so on.\n"
	      ".It Ev WEIR_ Ns Ar NAME\n"
	      "An option of weir's, see\n"
	      ".Xr weir_options 5 .\n"
	      ".It Ev NO_COLOR\n"
	      "If it is set and not empty, there are no colours.\n"
	      ".El\n",
	      out);
}

static void print_endings(FILE *out, const struct cli_ending *e)
{
	fputs(".Sh EXIT STATUS\n.Bl -tag -width 128\n", out);
	for (; e->means; e++) {
		fprintf(out, ".It %d\n", e->status);
		print_sentence(out, e->means);
	}
	fputs(".El\n", out);
}

/* ---- pages ---- */

void cli_man_command(FILE *out)
{
	begin(out, "weir", 1, "a pool of PostgreSQL connections that splits reads from writes");
	fputs(".Sh SYNOPSIS\n.Nm\n.Ar word\n.Op Ar operand\n.Op Ar option ...\n"
	      ".Nm\n.Cm help\n.Op Ar word\n.Nm\n.Fl Fl version\n.Sh DESCRIPTION\n",
	      out);
	print_prose(out, cli_about_url, strlen(cli_about_url));
	fputs(".Pp\nThe words are:\n.Bl -tag -width completion\n", out);
	for (size_t i = 0; cli_words[i]; i++) {
		fprintf(out, ".It Cm %s\n", cli_words[i]->name);
		print_sentence(out, cli_words[i]->brief);
		fprintf(out, "See\n.Xr weir-%s 1 .\n", cli_words[i]->name);
	}
	fputs(".El\n.Pp\n"
	      "Results go to standard output, messages and progress to standard error.\n"
	      "A password on a command line can be read by other users of the machine:\n"
	      "the environment or\n.Pa ~/.pgpass\nare better places.\n",
	      out);
	print_environment(out);
	fputs(".Sh EXIT STATUS\n"
	      "0 is good, 1 means that something is degraded, 2 that nothing is served;\n"
	      "64 and above are those of\n.Xr sysexits 3 .\n"
	      "Each word's page says what it means there.\n",
	      out);
	see_also(out, "weir");
}

void cli_man_word(FILE *out, const struct cli_word *word)
{
	static const struct cli_option help = {.name = "help", .help = "the same, shorter"};
	char name[64];

	snprintf(name, sizeof(name), "weir-%s", word->name);
	begin(out, name, 1, word->brief);
	fprintf(out, ".Sh SYNOPSIS\n.Nm weir %s\n", word->name);
	for (const struct cli_option *o = word->options; o->name; o++)
		print_flag(out, ".Op", o);
	if (*word->operands == '[')
		fprintf(out, ".Op Ar %.*s\n", (int)strlen(word->operands) - 2, word->operands + 1);
	else if (*word->operands)
		fprintf(out, ".Ar %s\n", word->operands);
	fputs(".Sh DESCRIPTION\n", out);
	print_paragraphs(out, word->about);
	fputs(".Pp\nThe options are:\n.Bl -tag -width Ds\n", out);
	for (const struct cli_option *o = word->options; o->name; o++) {
		print_flag(out, ".It", o);
		print_sentence(out, o->help);
	}
	print_flag(out, ".It", &help);
	print_sentence(out, help.help);
	fputs(".El\n", out);
	if (!strcmp(word->operands, "[URL]"))
		print_environment(out);
	print_endings(out, word->endings);
	see_also(out, name);
}

static void print_row(FILE *out, const weir_option_row *row)
{
	char text[256];

	fprintf(out, ".It Cm %s\n", row->name);
	print_sentence(out, row->help);
	fprintf(out, "Default: %s%s%s.\n", *row->default_ ? row->default_ : "none",
	        *row->default_ && *row->unit ? " " : "", *row->default_ ? row->unit : "");
	snprintf(text, sizeof(text), "Allowed: ");
	cli_allowed(row, text + strlen(text), sizeof(text) - strlen(text) - 1);
	strcat(text, ".");
	print_folded(out, text, strlen(text));
	fprintf(out, "Environment:\n.Ev %s .\n", row->env);
}

void cli_man_options(FILE *out)
{
	const weir_option_row *row;

	begin(out, "weir_options", 5, "options of pools and routers");
	fputs(".Sh DESCRIPTION\n"
	      "Each option may be set by the program\n"
	      ".Pq Fn weir_options_set ,\n"
	      "in the environment\n"
	      ".Pq Ev WEIR_POOL_MAX Ns =20 ,\n"
	      "by\n.Fl Fl set\nof the words of\n.Xr weir 1 ,\n"
	      "and in the connection string\n"
	      ".Pq Pa postgresql://app@h1/shop?pool_max=20 ,\n"
	      "which wins.\n"
	      "Durations are in milliseconds and may carry a unit:\n"
	      "250ms, 30s, 5min, 1h; 0 switches off where it is allowed.\n"
	      ".Bl -tag -width Ds\n",
	      out);
	for (size_t i = 0; (row = weir_option_at(i)); i++)
		print_row(out, row);
	fputs(".El\n", out);
	see_also(out, "weir_options");
}

static void print_statuses(FILE *out)
{
	static const struct {
		weir_status status;
		const char *name;
	} rows[] = {
#define WEIR_STATUS_ROW(name, number, ...) {WEIR_##name, "WEIR_" #name},
		WEIR_STATUS_MAP(WEIR_STATUS_ROW)
#undef WEIR_STATUS_ROW
	};

	fputs(".Sh STATUSES\n"
	      "Calls that may fail return a\n.Vt weir_status ,\n"
	      "and fill a\n.Vt weir_error\nwhere one is given:\n"
	      ".Bl -tag -width Ds\n",
	      out);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fprintf(out, ".It Dv %s\n", rows[i].name);
		print_sentence(out, weir_status_text(rows[i].status));
	}
	fputs(".El\n", out);
}

void cli_man_library(FILE *out)
{
	begin(out, "libweir", 7, "a pool of PostgreSQL connections that splits reads from writes");
	fputs(".Sh SYNOPSIS\n"
	      ".In weir/weir.h\n"
	      ".Pp\n"
	      ".Dl cc shop.c $(pkg-config \\-\\-cflags \\-\\-libs weir libpq)\n"
	      ".Sh DESCRIPTION\n"
	      "A router\n.Pq Fn weir_router_open\n"
	      "knows all hosts of a cluster, finds out which of them is the primary, and keeps a\n"
	      "pool of connections to each.\n"
	      "A checkout\n.Pq Fn weir_checkout\n"
	      "with the intent to read gets one to a replica, with the intent to write one to the\n"
	      "primary;\n.Fn weir_pg\nis libpq's handle of it,\n.Fn weir_checkin\n"
	      "gives it back,\n.Fn weir_router_close\nends it all.\n"
	      "A pool\n.Pq Fn weir_pool_open\nis for one host and no routing.\n"
	      ".Pp\n"
	      "No call blocks longer than it is told, nobody but a thread of the library's own\n"
	      "connects, and every call may be used from any thread.\n"
	      "Each declaration in the headers says who may call it, whether it blocks, who owns\n"
	      "what, and what it returns.\n",
	      out);
	print_statuses(out);
	print_environment(out);
	see_also(out, "libweir");
}

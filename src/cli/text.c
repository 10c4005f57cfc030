/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small text for people: numbers read and written, near names, colours, memory that is always
 * there.
 */
#include "cli/text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/word.h"

#define NAME_MAX_LEN 63 /* longer names are nobody's typing error */

static void out_of_memory(void)
{
	static const char text[] = "weir: out of memory\n";

	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(CLI_EXIT_SYSTEM);
	_exit(CLI_EXIT_SYSTEM);
}

void *cli_alloc(size_t count, size_t size)
{
	void *memory = calloc(count ? count : 1, size ? size : 1);

	if (!memory)
		out_of_memory();
	return memory;
}

void *cli_grow(void *memory, size_t count, size_t size)
{
	void *grown = NULL;

	if (size && count <= SIZE_MAX / size)
		grown = realloc(memory, count * size);
	if (!grown)
		out_of_memory();
	return grown;
}

void cli_copy(char *to, size_t room, const char *from)
{
	size_t len = strnlen(from, room - 1);

	memcpy(to, from, len);
	to[len] = '\0';
}

bool cli_parse_int(const char *text, int64_t *value)
{
	char *end;
	long long n;

	if (!isdigit((unsigned char)text[0]) &&
	    !(text[0] == '-' && isdigit((unsigned char)text[1])))
		return false;
	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno || *end)
		return false;
	*value = n;
	return true;
}

bool cli_parse_real(const char *text, double *value)
{
	size_t digits = strspn(text, "0123456789");
	size_t more = text[digits] == '.' ? strspn(text + digits + 1, "0123456789") : 0;

	if (!digits || digits > 15 || more > 15 || (text[digits] == '.' && !more) ||
	    text[digits + (more ? more + 1 : 0)])
		return false;
	*value = strtod(text, NULL); /* no locale is ever set */
	return true;
}

bool cli_parse_seconds(const char *text, int64_t *ns)
{
	int64_t whole = 0, part = 0, unit = 1000000000;
	const char *c = text;

	for (; isdigit((unsigned char)*c); c++) {
		whole = whole * 10 + (*c - '0');
		if (whole > 1000000000)
			return false;
	}
	if (c == text)
		return false;
	if (*c == '.') {
		const char *first = ++c;

		for (; isdigit((unsigned char)*c) && unit > 1; c++) {
			unit /= 10;
			part += (*c - '0') * unit;
		}
		if (c == first)
			return false;
	}
	if (*c)
		return false;
	*ns = whole * 1000000000 + part;
	return true;
}

bool cli_looks_secret(const char *text)
{
	return strchr(text, '=') || strstr(text, "://") || strchr(text, '@');
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Levenshtein's distance, by rows, with a dash and an underscore alike. */
static size_t distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b);
	size_t row[NAME_MAX_LEN + 1];

	if (la > NAME_MAX_LEN || lb > NAME_MAX_LEN)
		return SIZE_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t above = row[j];
			char x = a[i - 1] == '_' ? '-' : a[i - 1];
			char y = b[j - 1] == '_' ? '-' : b[j - 1];

			row[j] = smaller(smaller(above, row[j - 1]) + 1, diagonal + (x != y));
			diagonal = above;
		}
	}
	return row[lb];
}

const char *cli_nearest(const char *name, const char *const names[])
{
	const char *best = NULL;
	size_t best_at = strlen(name) / 3 + 2; /* farther is a guess */

	for (size_t i = 0; names[i]; i++) {
		size_t d = distance(name, names[i]);

		if (d < best_at) {
			best = names[i];
			best_at = d;
		}
	}
	return best;
}

struct scale {
	double size;
	const char *unit;
};

static const char *scaled(char text[CLI_SHORT], double value, const struct scale *scales)
{
	while (scales[1].unit && value >= scales[1].size * 0.9995)
		scales++;
	value /= scales->size;
	if (scales->size == 1 || value >= 99.95)
		snprintf(text, CLI_SHORT, "%.0f %s", value, scales->unit);
	else
		snprintf(text, CLI_SHORT, "%.*f %s", value < 9.995 ? 2 : 1, value, scales->unit);
	return text;
}

const char *cli_duration(char text[CLI_SHORT], int64_t ns)
{
	static const struct scale scales[] = {
		{1, "ns"}, {1e3, "us"}, {1e6, "ms"}, {1e9, "s"}, {0, NULL},
	};

	return scaled(text, ns < 0 ? 0 : (double)ns, scales);
}

const char *cli_bytes(char text[CLI_SHORT], int64_t bytes)
{
	static const struct scale scales[] = {
		{1, "B"}, {1024.0, "KiB"}, {1048576.0, "MiB"}, {1073741824.0, "GiB"}, {0, NULL},
	};

	return scaled(text, bytes < 0 ? 0 : (double)bytes, scales);
}

const char *cli_setting(char text[CLI_SHORT], int64_t ms)
{
	if (ms < 0)
		snprintf(text, CLI_SHORT, "unknown");
	else if (ms == 0)
		snprintf(text, CLI_SHORT, "none");
	else if (ms % 60000 == 0)
		snprintf(text, CLI_SHORT, "%" PRId64 " min", ms / 60000);
	else if (ms % 1000 == 0)
		snprintf(text, CLI_SHORT, "%" PRId64 " s", ms / 1000);
	else
		snprintf(text, CLI_SHORT, "%" PRId64 " ms", ms);
	return text;
}

bool cli_colours(FILE *out)
{
	const char *no = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	return !(no && *no) && !(term && !strcmp(term, "dumb")) && isatty(fileno(out));
}

void cli_paint(FILE *out, enum cli_tint tint, const char *text)
{
	static const char *const codes[] = {
		[CLI_PLAIN] = "",        [CLI_STRONG] = "\033[1m", [CLI_FAINT] = "\033[2m",
		[CLI_GOOD] = "\033[32m", [CLI_WARN] = "\033[33m",  [CLI_BAD] = "\033[31m",
	};

	if (tint != CLI_PLAIN && cli_colours(out))
		fprintf(out, "%s%s\033[0m", codes[tint], text);
	else
		fputs(text, out);
}

size_t cli_paragraph(const char *text)
{
	const char *end = strstr(text, "\n\n");

	return end ? (size_t)(end - text) : strlen(text);
}

/* How many bytes of the words at text, len at most, fit into `width` columns: at least a word. */
static size_t words_that_fit(const char *text, size_t len, size_t width)
{
	size_t fit = 0;

	for (size_t i = 0; i <= len; i++) {
		if (i < len && text[i] != ' ')
			continue;
		if (fit && i > width)
			break;
		fit = i;
	}
	return fit;
}

void cli_fold_part(FILE *out, const char *text, size_t len, size_t indent, size_t width)
{
	const char *end = text + len;

	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t line = (size_t)((newline ? newline : end) - text);
		size_t n = *text == ' ' ? line : words_that_fit(text, line, width - indent);

		fprintf(out, "%.*s\n", (int)n, text);
		text += n;
		if (text < end)
			text++;
		if (text < end)
			fprintf(out, "%*s", (int)indent, "");
	}
}

void cli_fold(FILE *out, const char *text, size_t indent, size_t width)
{
	cli_fold_part(out, text, strlen(text), indent, width);
}

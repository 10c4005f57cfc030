/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options.def as an array, with what the preprocessor cannot make (capitals, the text of a default
 * choice).
 */
#include "config/table.h"

#include <pthread.h>
#include <string.h>

#include "base/line.h"
#include "base/text.h"

static struct wi_option rows[] = {
#define AT(member) .offset = offsetof(weir_options, member)
#define WEIR_OPTION_INT(name_, unit_, initial_, min_, max_, help_)                                 \
	{.shown = {.name = #name_,                                                                 \
	           .type = WEIR_OPTION_IS_INT,                                                     \
	           .unit = (unit_),                                                                \
	           .choices = "",                                                                  \
	           .default_ = #initial_,                                                          \
	           .min = (min_),                                                                  \
	           .max = (max_),                                                                  \
	           .help = (help_)},                                                               \
	 .initial = (initial_),                                                                    \
	 AT(name_)},
#define WEIR_OPTION_CHOICE(name_, choices_, initial_, help_)                                       \
	{.shown = {.name = #name_,                                                                 \
	           .type = WEIR_OPTION_IS_CHOICE,                                                  \
	           .unit = "",                                                                     \
	           .choices = (choices_),                                                          \
	           .help = (help_)},                                                               \
	 .initial = (initial_),                                                                    \
	 AT(name_)},
#define WEIR_OPTION_TEXT(name_, room_, initial_, help_)                                            \
	{.shown = {.name = #name_,                                                                 \
	           .type = WEIR_OPTION_IS_TEXT,                                                    \
	           .unit = "",                                                                     \
	           .choices = "",                                                                  \
	           .default_ = (initial_),                                                         \
	           .room = (room_),                                                                \
	           .help = (help_)},                                                               \
	 AT(name_)},
#include <weir/options.def>
#undef AT
};

#define ROWS WI_ARRAY_LEN(rows)
#define ENV_ROOM 48

/*
 * Texts that may be only one of a few words; the words are libpq's, checked here so that a typo is
 * told at open.
 */
static const struct {
	const char *name, *words;
} known_words[] = {
	{"sslmode", "disable allow prefer require verify-ca verify-full"},
	{"ssl_min_protocol_version", "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3"},
	{"channel_binding", "disable prefer require"},
};

static const struct {
	size_t offset;
	weir_reload_when when;
} reloads[] = {
#define WEIR_RELOAD(name, when) {offsetof(weir_options, name), WEIR_RELOAD_##when},
#include "config/reload.def"
};

/* (c) after build */
static char env_names[ROWS][ENV_ROOM];
static char first_choices[ROWS][16];
static const char *names[ROWS];
static pthread_once_t built = PTHREAD_ONCE_INIT;

static void build_row(size_t i)
{
	struct wi_option *row = &rows[i];
	struct wi_text env;
	const char *word;
	size_t length;

	names[i] = row->shown.name;
	wi_text_init(&env, env_names[i], ENV_ROOM);
	wi_text_add(&env, "WEIR_%s", row->shown.name);
	for (char *c = env_names[i]; *c; c++)
		if (*c >= 'a' && *c <= 'z')
			/* not toupper: what it does is the host's locale's affair */
			*c = (char)(*c - 'a' + 'A');
	row->shown.env = env_names[i];

	if (row->shown.type == WEIR_OPTION_IS_CHOICE) {
		word = wi_word_at(row->shown.choices, (size_t)row->initial, &length);
		wi_copy(first_choices[i], word ? length + 1 : 0, word);
		row->shown.default_ = first_choices[i];
	}
	for (size_t k = 0; k < WI_ARRAY_LEN(reloads); k++)
		if (reloads[k].offset == row->offset)
			row->shown.reload = reloads[k].when;
	for (size_t k = 0; k < WI_ARRAY_LEN(known_words); k++)
		if (strcmp(row->shown.name, known_words[k].name) == 0)
			row->words = known_words[k].words;
}

static void build(void)
{
	for (size_t i = 0; i < ROWS; i++)
		build_row(i);
}

const struct wi_option *wi_option_at(size_t i)
{
	pthread_once(&built, build);
	return i < ROWS ? &rows[i] : NULL;
}

size_t wi_option_number_of(const struct wi_option *row)
{
	return (size_t)(row - rows);
}

const struct wi_option *wi_option_find(const char *name)
{
	const struct wi_option *row;

	for (size_t i = 0; (row = wi_option_at(i)); i++)
		if (strcmp(row->shown.name, name) == 0)
			return row;
	return NULL;
}

const char *wi_option_nearest(const char *name)
{
	pthread_once(&built, build);
	return wi_nearest(name, names, ROWS);
}

const char *wi_word_at(const char *words, size_t i, size_t *length)
{
	*length = 0;
	for (; *words; i--) {
		*length = strcspn(words, " ");
		if (!i)
			return words;
		words += *length;
		words += strspn(words, " ");
	}
	return NULL;
}

int wi_word_find(const char *words, const char *text)
{
	const char *word;
	size_t length;

	for (size_t i = 0; (word = wi_word_at(words, i, &length)); i++)
		if (strlen(text) == length && memcmp(word, text, length) == 0)
			return (int)i;
	return -1;
}

int64_t *wi_option_number(const struct wi_option *row, weir_options *options)
{
	return (int64_t *)(void *)((char *)options + row->offset);
}

char *wi_option_text(const struct wi_option *row, weir_options *options)
{
	return (char *)options + row->offset;
}

size_t wi_option_size(const struct wi_option *row)
{
	return row->shown.type == WEIR_OPTION_IS_TEXT ? row->shown.room : sizeof(int64_t);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * weir_classify under libFuzzer: any bytes, in a block that ends where they end. Sanitizers see to
 * memory; what is checked here holds for any text:
 *
 *   the verdict points into the text, and is the same the second time;
 *   a read stays a read with white space or a comment around it, and is none with a zero byte or a
 *   second statement behind it.
 *
 * `./dev fuzz` builds it with clang, and begins with the table of statements as its corpus
 *.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/classify.h>

#include "support/statements.h"

static void must(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "not so: %s\n", what);
	abort();
}

static weir_intent with_end(const char *sql, size_t length, const char *end, size_t end_length)
{
	char *text = malloc(length + end_length);
	weir_intent intent;

	must(text != NULL, "there is memory");
	memcpy(text, sql, length);
	memcpy(text + length, end, end_length);
	intent = weir_classify(text, length + end_length, NULL);
	free(text);
	return intent;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *sql = (const char *)data;
	weir_verdict v = weir_classify_why(sql, size, NULL);

	must(v.at <= size && v.length <= size - v.at, "the verdict points into the text");
	must(weir_classify(sql, size, NULL) == v.intent, "it is the same again");
	must((v.intent == WEIR_READ) == (v.why == WEIR_SQL_READS), "the reason fits");
	if (v.intent != WEIR_READ)
		return 0;
	must(with_end(sql, size, "\n", 1) == WEIR_READ, "a line's end changes nothing");
	must(with_end(sql, size, "\n/* ; */", 8) == WEIR_READ, "nor does a comment");
	must(with_end(sql, size, "\0", 1) == WEIR_WRITE, "a zero byte does");
	must(with_end(sql, size, "\n;DROP TABLE t", 14) == WEIR_WRITE, "and another statement");
	return 0;
}

#ifdef WRITE_CORPUS
/* Each statement of the table as a file of the folder that is named. */
int main(int argc, char **argv)
{
	char path[4096];

	for (size_t i = 0; argc == 2 && i < n_statements; i++) {
		const struct statement *s = &statements[i];
		FILE *file;

		snprintf(path, sizeof(path), "%s/%zu", argv[1], i);
		file = fopen(path, "w");
		must(file != NULL, "the folder can be written");
		fwrite(s->sql, 1, s->length ? s->length : strlen(s->sql), file);
		fclose(file);
	}
	return argc != 2;
}
#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `weir completion`: what a shell completes, written from the tables of the words and of weir's
 * options. The scripts hold all of it, so that completing runs nothing.
 */
#include <stdio.h>
#include <string.h>

#include <weir/weir.h>

#include "cli/args.h"
#include "cli/text.h"

static const char about[] =
	"Writes the completion of this command for a shell: words, options, the names and choices "
	"of weir's own options after --set, and files where files are meant. Where weir is "
	"installed, shells find it by themselves.\n"
	"\n"
	"  source <(weir completion bash)\n"
	"  weir completion zsh > \"${fpath[1]}/_weir\"\n"
	"  weir completion fish > ~/.config/fish/completions/weir.fish";

static const struct cli_option flags[] = {{.name = NULL}};

static const struct cli_ending endings[] = {
	{CLI_EXIT_OK, "the script was written"},
	{CLI_EXIT_USAGE, "wrong usage"},
	{CLI_EXIT_OUTPUT, "the output could not be written"},
	{0, NULL},
};

static bool is(const char *among, const char *what)
{
	return among && !strcmp(among, what);
}

/* Text between single quotes, which no shell reads; in zsh also without what _arguments reads. */
static void print_quoted(const char *text, bool zsh)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs(zsh ? "'\\''" : "\\'", stdout);
		else if (zsh && strchr("[]:\\", *text))
			printf("\\%c", *text);
		else
			putchar(*text);
	}
}

/* The names of weir's options, each with what follows it. */
static void print_option_names(const char *after)
{
	const weir_option_row *row;

	for (size_t i = 0; (row = weir_option_at(i)); i++)
		printf("%s%s%s", i ? " " : "", row->name, after);
}

static void print_words(void)
{
	for (size_t i = 0; cli_words[i]; i++)
		printf("%s%s", i ? " " : "", cli_words[i]->name);
}

/* ---- bash ---- */

static const char bash_head[] =
	"# weir's completion for bash, written by: weir completion bash\n"
	"_weir()\n"
	"{\n"
	"\tlocal at=$COMP_CWORD word=${COMP_WORDS[1]} cur=${COMP_WORDS[COMP_CWORD]}\n"
	"\tlocal prev before='' flags='' values='' operands=''\n"
	"\t# readline takes --set name=value and --svg=file apart at the equals signs\n"
	"\tif [[ $cur == = ]]; then\n"
	"\t\tcur=''\n"
	"\telif [[ ${COMP_WORDS[at - 1]} == = ]]; then\n"
	"\t\t((at--))\n"
	"\tfi\n"
	"\tprev=${COMP_WORDS[at - 1]}\n"
	"\t((at < 2)) || before=${COMP_WORDS[at - 2]}\n"
	"\tCOMPREPLY=()\n";

static const char bash_tail[] =
	"\tif [[ $values == FILE || ($values == '' && $cur != -* && $operands == FILE) ]]; then\n"
	"\t\tcompopt -o filenames 2>/dev/null\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
	"\telif [[ $values == OPTION ]]; then\n"
	"\t\tcompopt -o nospace 2>/dev/null\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -S = -W \"$names\" -- \"$cur\")\n"
	"\telif [[ $values ]]; then\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -W \"${values#-}\" -- \"$cur\")\n"
	"\telif [[ $cur == -* ]]; then\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -W \"$flags --help\" -- \"$cur\")\n"
	"\telse\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -W \"$operands\" -- \"$cur\")\n"
	"\tfi\n"
	"}\n"
	"complete -F _weir weir\n";

/* A row: the option before, and among what its value is; "-" for what nobody knows. */
static void bash_value(const struct cli_option *o)
{
	if (o->value)
		printf("\t\t--%s) values='%s' ;;\n", o->name, o->among ? o->among : "-");
}

static void bash_word(const struct cli_word *word)
{
	printf("\t%s)\n\t\tflags='", word->name);
	for (const struct cli_option *o = word->options; o->name; o++)
		printf("%s--%s", o == word->options ? "" : " ", o->name);
	printf("'\n\t\toperands='%s'\n", word->among ? word->among : "");
	puts("\t\tcase $prev in");
	for (const struct cli_option *o = word->options; o->name; o++)
		bash_value(o);
	puts("\t\t*) ;;\n\t\tesac\n\t\t;;");
}

/* --set name=: the choices of an option that has any. */
static void bash_choices(void)
{
	const weir_option_row *row;

	puts("\tif [[ $before == --set ]]; then\n\t\tcase $prev in");
	for (size_t i = 0; (row = weir_option_at(i)); i++)
		if (row->type == WEIR_OPTION_IS_CHOICE)
			printf("\t\t%s) values='%s' ;;\n", row->name, row->choices);
	puts("\t\t*) values=- ;;\n\t\tesac\n\tfi");
}

static void bash(void)
{
	fputs(bash_head, stdout);
	fputs("\tlocal names='", stdout);
	print_option_names("");
	fputs("'\n\tif ((COMP_CWORD == 1)); then\n\t\tword='' flags='--version' operands='",
	      stdout);
	print_words();
	fputs(" help'\n\tfi\n\tcase $word in\n", stdout);
	for (size_t i = 0; cli_words[i]; i++)
		bash_word(cli_words[i]);
	fputs("\thelp) operands='", stdout);
	print_words();
	puts("' ;;\n\tesac");
	bash_choices();
	fputs(bash_tail, stdout);
}

/* ---- zsh ---- */

static void zsh_option(const struct cli_option *o)
{
	printf(" \\\n\t\t\t'%s--%s%s[", is(o->among, "OPTION") ? "*" : "", o->name,
	       o->value ? "=" : "");
	print_quoted(o->help, true);
	putchar(']');
	if (o->value)
		printf(":%s:%s", o->value,
		       is(o->among, "FILE")     ? "_files"
		       : is(o->among, "OPTION") ? "_weir_set"
		                                : "");
	putchar('\'');
}

static void zsh_word(const struct cli_word *word)
{
	printf("\t%s)\n\t\t_arguments -S", word->name);
	for (const struct cli_option *o = word->options; o->name; o++)
		zsh_option(o);
	printf(" \\\n\t\t\t'--help[this]'");
	if (word->max_operands && is(word->among, "FILE"))
		printf(" \\\n\t\t\t'*:file:_files'");
	else if (word->max_operands && word->among)
		printf(" \\\n\t\t\t'1:operand:(%s)'", word->among);
	else if (word->max_operands)
		printf(" \\\n\t\t\t'*:connection string:'");
	puts("\n\t\t;;");
}

static void zsh(void)
{
	const weir_option_row *row;

	puts("#compdef weir\n# weir's completion for zsh, written by: weir completion zsh\n"
	     "_weir_set()\n{\n\tlocal -a names=(");
	for (size_t i = 0; (row = weir_option_at(i)); i++) {
		printf("\t\t'%s:", row->name);
		print_quoted(row->help, true);
		puts("'");
	}
	puts("\t)\n\t_describe -t options option names -S =\n}\n\n_weir()\n{\n\tlocal -a known=(");
	for (size_t i = 0; cli_words[i]; i++) {
		printf("\t\t'%s:", cli_words[i]->name);
		print_quoted(cli_words[i]->brief, true);
		puts("'");
	}
	puts("\t\t'help:more about a word'\n\t)\n\tif ((CURRENT == 2)); then\n"
	     "\t\t_describe -t words word known\n\t\treturn\n\tfi\n"
	     "\tlocal word=$words[2]\n\tshift words\n\t((CURRENT--))\n\tcase $word in");
	for (size_t i = 0; cli_words[i]; i++)
		zsh_word(cli_words[i]);
	puts("\thelp) _describe -t words word known ;;\n\tesac\n}\n\n"
	     "if [[ $funcstack[1] == _weir ]]; then\n\t_weir \"$@\"\nelse\n\tcompdef _weir weir\nfi");
}

/* ---- fish ---- */

static void fish_describe(const char *text)
{
	fputs(" -d '", stdout);
	print_quoted(text, false);
	puts("'");
}

static void fish_option(const struct cli_word *word, const struct cli_option *o)
{
	printf("complete -c weir -n '__fish_seen_subcommand_from %s' -l %s", word->name, o->name);
	if (is(o->among, "OPTION"))
		printf(" -x -a '(__weir_options)'");
	else if (is(o->among, "FILE") && o->value)
		printf(" -r -F");
	else if (o->value)
		printf(" -x%s%s%s", o->among ? " -a '" : "", o->among ? o->among : "",
		       o->among ? "'" : "");
	fish_describe(o->help);
}

static void fish_word(const struct cli_word *word)
{
	printf("complete -c weir -n __fish_use_subcommand -a %s", word->name);
	fish_describe(word->brief);
	for (const struct cli_option *o = word->options; o->name; o++)
		fish_option(word, o);
	printf("complete -c weir -n '__fish_seen_subcommand_from %s' -l help -d this\n",
	       word->name);
	if (is(word->among, "FILE"))
		printf("complete -c weir -n '__fish_seen_subcommand_from %s' -F\n", word->name);
	else if (word->among)
		printf("complete -c weir -n '__fish_seen_subcommand_from %s' -a '%s'\n", word->name,
		       word->among);
}

static void fish(void)
{
	const weir_option_row *row;

	puts("# weir's completion for fish, written by: weir completion fish\n"
	     "function __weir_options\n\tprintf '%s\\t%s\\n' \\");
	for (size_t i = 0; (row = weir_option_at(i)); i++) {
		printf("\t\t%s= '", row->name);
		print_quoted(row->help, false);
		puts("' \\");
	}
	puts("\t\t;\nend\ncomplete -c weir -f\n"
	     "complete -c weir -n __fish_use_subcommand -l version -d 'the version'\n"
	     "complete -c weir -n __fish_use_subcommand -a help -d 'more about a word'");
	for (size_t i = 0; cli_words[i]; i++)
		fish_word(cli_words[i]);
	fputs("complete -c weir -n '__fish_seen_subcommand_from help' -a '", stdout);
	print_words();
	puts("'");
}

static int run(const struct cli_word *word, int argc, char **argv)
{
	struct cli_args args;
	int got, result = CLI_EXIT_OK;

	cli_args_init(&args, word, argc, argv);
	got = cli_args_next(&args);
	if (got != CLI_ARG_END)
		result = cli_args_status(got);
	else if (!args.n_operands)
		result = cli_usage(word, "which shell: bash, zsh or fish?");
	else if (!strcmp(args.operands[0], "bash"))
		bash();
	else if (!strcmp(args.operands[0], "zsh"))
		zsh();
	else if (!strcmp(args.operands[0], "fish"))
		fish();
	else
		result = cli_usage(word,
		                   "no completion for that shell; there are bash, zsh and fish");
	cli_args_fini(&args);
	return result;
}

const struct cli_word cli_word_completion = {
	.name = "completion",
	.brief = "write the completion for a shell: bash, zsh or fish",
	.operands = "SHELL",
	.among = "bash zsh fish",
	.max_operands = 1,
	.about = about,
	.options = flags,
	.endings = endings,
	.run = run,
};

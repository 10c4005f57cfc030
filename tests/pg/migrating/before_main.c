/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs a sample as it was. */
extern int sample(const char *url);

int main(int argc, char **argv)
{
	return argc == 2 ? sample(argv[1]) : 2;
}

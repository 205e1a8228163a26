#ifndef CREADLINE_H
#define CREADLINE_H

#include <stdbool.h>

// GNU readline, opened at run time (docs/decisions/0002-readline-at-run-time.md), and signals as bytes in a pipe.
// readline keeps its state in globals: all creadline_ functions belong to one thread.

// Opens libreadline and sets it up: its name for ~/.inputrc's "$if", no signal handlers of its own.
// False where it is absent, with the reason from creadline_load_error.
bool creadline_load(const char *name);
const char *creadline_load_error(void);

// Candidates for completing a line: a malloc'd array of malloc'd strings that ends with NULL, or NULL for none.
// `line` is the whole line in UTF-8, `start` and `end` are byte offsets of the word at the cursor.
typedef char **(*creadline_completer)(void *context, const char *line, int start, int end);
void creadline_set_completer(creadline_completer completer, void *context);

// Called with a malloc'd line that the callee frees, or with NULL at the end of input.
typedef void (*creadline_line_handler)(char *line);

// Shows the prompt and makes the terminal ready. Codes without width in the prompt stand between \001 and \002.
void creadline_begin(const char *prompt, const char *initial_text, creadline_line_handler handler);
// Reads what is there and calls the handler when a line is complete.
void creadline_read_characters(void);
// Puts the terminal back. Done already when the handler is called.
void creadline_end(void);
// Whether the line at the cursor holds nothing.
bool creadline_is_line_empty(void);
// Throws the line away; the cursor goes to a new line of the terminal.
void creadline_discard_line(void);
// Shows prompt and line again after other output.
void creadline_redisplay(void);
void creadline_resize(void);
void creadline_release_terminal(void);
void creadline_take_terminal(void);
// Which descriptors to talk to; copies of them are made. False where that fails. The first call counts.
bool creadline_use(int input, int output);

void creadline_add_history(const char *line);
void creadline_clear_history(void);

// A pipe that is closed in children; its write end never blocks, its read end if asked. False with errno set.
bool signal_pipe_create(int ends[2], bool reads_block);
// From now on each of the given signals writes its number as one byte to a pipe in place of what it did.
// At most 8 of them. False with errno set where a handler could not be set. `signal_pipe_restore` undoes it.
bool signal_pipe_install(int write_descriptor, const int *signals, int count);
void signal_pipe_restore(void);

// The same for the interrupt signal alone, beneath the pipe above.
bool interrupt_pipe_install(int write_descriptor);
void interrupt_pipe_restore(void);
// Ends this process the way the signal would have.
void die_by_signal(int signal_number);

#endif

// Package lifecycle holds tests of the built program as a process: how it
// starts, takes over, drains and ends, and how it bears more load than it can.
// They know the program by its command line, its signals and its sockets only.
package lifecycle

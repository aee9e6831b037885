// Package config reads the configuration language: it finds the files, parses
// and evaluates them, decodes every block into plain data with source ranges,
// compiles request-time expressions to closures (Load), and turns the result
// into a generation that the engine can serve (Build).
//
// Each kind of block has a file of its own: the struct that it becomes, the
// function that decodes it, and its schema at the bottom. Problems are
// diagnostics, gathered and never thrown: one Load reports everything that is
// wrong.
//
// It must not know sockets, signals or the file watcher: it opens nothing but
// the files that the configuration names, and nothing but gateway, admin and cmd
// imports it.
package config

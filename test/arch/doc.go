// Package arch holds the rules of the source tree as tests: who may import
// whom, what every package says about itself, and what no file may contain. It
// is no part of the program.
package arch

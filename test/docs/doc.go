// Package docs holds tests of the documentation: what it shows must work, and
// what it points to must be there.
package docs

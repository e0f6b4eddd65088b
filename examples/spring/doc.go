// Package spring contains only tests, for the walk-through in README.md: a
// Spring Boot application with Hoofbeat as its broker. The tests run Hoofbeat
// with its hoofbeat.yaml, and the parts of the application that do not need
// Spring Boot.
package spring

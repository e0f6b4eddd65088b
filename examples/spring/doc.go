// Package spring holds no code, only tests: the walk-through in README.md is a
// Spring Boot application with Hoofbeat as its broker. The tests run Hoofbeat with
// its hoofbeat.yaml, and of the application what can be had without Spring Boot.
package spring

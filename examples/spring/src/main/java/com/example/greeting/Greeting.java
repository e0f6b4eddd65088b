package com.example.greeting;

/** A greeting that all pages show. */
public record Greeting(String text) {
}

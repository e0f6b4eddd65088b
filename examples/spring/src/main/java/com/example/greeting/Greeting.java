package com.example.greeting;

/** What everybody sees. */
public record Greeting(String text) {
}

package com.example.greeting;

/** The message that a page sends. */
public record Hello(String name) {
}

package com.example.greeting;

import java.net.URI;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;

@SpringBootApplication
public class Application {

    public static void main(String[] args) {
        SpringApplication.run(Application.class, args);
    }

    @Bean
    HoofbeatApi hoofbeat(@Value("${hoofbeat.admin}") URI admin, @Value("${hoofbeat.admin-token}") String token) {
        return new HoofbeatApi(admin, token);
    }
}

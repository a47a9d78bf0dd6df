{type: "section",
 text: .resource.name |
}

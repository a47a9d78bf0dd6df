{id: .resource.id,
 name: .resource.name}

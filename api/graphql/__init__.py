"""The graph: GraphQL over the read path and the use cases of REST. A door like the others; it holds no rule."""

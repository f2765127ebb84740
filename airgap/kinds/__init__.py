"""The kinds of content. A kind translates an upstream thing into a graph and says in which form it arrives."""

"""Composition -> one OCI configuration and its bundle, admitted."""

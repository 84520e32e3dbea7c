"""A member's record in words for the page: plans, treatments, medications, authorizations, consents, timeline."""

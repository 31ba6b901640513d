"""Routes that another server than Django's answers on the same port: the document has them too."""

from claudemem.api.documents import Route

ROUTES: tuple[Route, ...] = ()
